"""The Lambda function between API Gateway and a SageMaker endpoint that draws faces."""
