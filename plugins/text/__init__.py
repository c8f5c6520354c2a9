"""What several plugins know of texts in any script; it offers no plugin itself."""
