"""What the lock files bring in: bills of materials, known vulnerabilities, licences."""
