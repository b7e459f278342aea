"""A window of runs as one page of HTML, for the ticket of an incident."""
