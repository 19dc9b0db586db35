"""Mixed load at a chosen rate against the whole product as in production, on one machine."""
