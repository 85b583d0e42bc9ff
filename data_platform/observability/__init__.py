"""What a person can believe: the model of trust, and the page that shows it. Knows neither Dagster nor a warehouse."""
