"""Timing: seconds a sample, where they go, and peak memory."""
