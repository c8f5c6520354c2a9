"""Where a run happens: device and precision, processes, interrupts, progress, files."""
