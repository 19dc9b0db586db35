"""What lies in deploy/: read, linted, and run as far as this machine can."""
