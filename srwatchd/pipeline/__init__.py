"""The one place where the stages meet: what happens to a picture, in order.

``custody`` and ``stages`` run in the supervising process and import nothing heavy; ``codec_tasks`` and
``inference_tasks`` run in the worker processes.
"""
