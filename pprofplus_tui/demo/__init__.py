"""Small real services that leak, saw-tooth, fragment and die, recorded live."""
