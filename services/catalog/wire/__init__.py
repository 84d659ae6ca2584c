"""Messages and values: the only place that builds or reads messages of the catalog."""
