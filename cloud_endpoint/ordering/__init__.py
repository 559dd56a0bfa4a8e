"""A pre-payment order's life: candidates, the plate check, holds, payments, webhooks."""
