"""What runs inside the model's own environment: batch scoring. Imports nothing of passmuster."""
