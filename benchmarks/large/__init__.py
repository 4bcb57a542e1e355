"""Large pictures through the daemon, in a control group that ends whoever takes more memory than allowed."""
