"""The services, one package per bounded context, on a common chassis."""
