"""GitHub as the steps need it: its API (`client`), and what a job tells its runner (`actions`); decides nothing."""
