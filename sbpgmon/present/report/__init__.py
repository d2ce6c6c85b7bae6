"""The report: dashboards as one HTML file, or one panel as a picture."""
