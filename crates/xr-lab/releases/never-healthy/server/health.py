"""What `/api/health/` answers: an empty list when all is well, otherwise what is wrong."""


def problems():
    return ["scan engine: cannot load rules/2026.yaml: missing key 'severity'"]
