"""Results for people: `text` for a terminal, `page` as one self-contained HTML file with figures from `charts`."""
