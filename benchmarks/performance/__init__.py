"""How fast srwatchd is and how much it takes, beside what anybody would run instead, and how both grow.

Whatever is compared is measured in one interleaved run (A B C A B C ...), each contestant in a process of its own, so
that a change of the machine's mood meets all of them and no library disturbs another. It makes docs/performance.md.
"""
