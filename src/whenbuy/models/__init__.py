"""Examples -> Model -> Forecast: every way to learn, as settings that fit and models that predict."""
