"""Tables of the warehouse as Iceberg tables, for the engines of others. The warehouse stays what is true."""
