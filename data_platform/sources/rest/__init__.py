"""Any REST API by YAML, in the words of dlt's ``rest_api``: ``config.py`` and ``endpoint.py`` say what may be written,
``rewrite.py`` takes a config of dlt's, ``paginate.py`` finds the next page, ``walk.py`` reads a table's pages."""
