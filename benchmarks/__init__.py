"""Measurements of srwatchd that are commands of their own."""
