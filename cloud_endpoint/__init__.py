"""The thin cloud endpoint: receives poles, serves drivers, checks plates."""
