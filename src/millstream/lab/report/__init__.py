"""Reports of the lab: what they say (`document`) and how they look (`html`)."""
