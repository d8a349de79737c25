"""Tables, figures, 3-D pictures and the HTML page of a finished scenario."""
