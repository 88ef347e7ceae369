"""Evaluation by captures of several networks: flow by flow, and by the alerts that the sensor makes of them."""
