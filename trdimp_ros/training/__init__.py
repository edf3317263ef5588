"""What training needs beyond the network: its losses."""
