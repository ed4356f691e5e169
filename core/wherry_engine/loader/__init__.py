"""Plugins: the catalog (metadata only), loading, observing and reporting of drivers. See each module."""
