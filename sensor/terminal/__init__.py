"""What an operator sees in a terminal. Import `sensor.terminal.view`; nothing here runs unless a terminal is there."""
