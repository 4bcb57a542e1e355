"""Training, evaluation and export of the super-resolution weights that srwatchd ships."""
