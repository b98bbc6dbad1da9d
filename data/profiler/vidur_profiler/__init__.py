"""Measures the operators of a transformer on one accelerator; see ../profile.py."""
