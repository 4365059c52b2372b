"""What the commands print: figures gathered as plain data, then drawn as text."""
