"""What people look at: the report page, component maps, reconstructions."""
