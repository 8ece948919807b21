"""What people read: words, screens, pictures, the report, files."""
