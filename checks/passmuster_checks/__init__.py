"""The gates: each measures one property of a candidate; found by entry point, never imported by the steps."""
