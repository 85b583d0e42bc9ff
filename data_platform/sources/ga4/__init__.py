"""Google Analytics 4: reports of the Data API, a day at a time. The client's package is imported when it is used."""
