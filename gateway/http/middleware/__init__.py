"""What happens around every HTTP request, whatever its route."""
