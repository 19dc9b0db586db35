"""What the platform is told: from every change of state to a receiver that rebuilds it."""
