"""What the back office writes: sums of finished days, and exports of lists."""
