"""A shop's files: what an agency, a supplier, a warehouse and a telephone system leave in a folder."""
