"""The competition's site, both ways, through the official client: data in; submissions, scores and whole runs out."""
