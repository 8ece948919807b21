"""What the commands do, one function per verb."""
