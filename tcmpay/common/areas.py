"""What is asked for by programs, and what by people with a browser."""

# The platform's clients, the gateways, and what watches us.
FOR_PROGRAMS = ("/api/", "/payment/", "/health/", "/metrics")


def is_for_programs(path: str) -> bool:
    """Whether no session, no page and no form is ever wanted below ``path``."""
    return path.startswith(FOR_PROGRAMS)
