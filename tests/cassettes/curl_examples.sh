# What Emby's pages tell a reader to send, as commands of curl. A heading names page and section.

## Image Generation: Available Models
curl "https://api.emby.dev/v1/models"

## Image Generation: Generate an Image
curl -X POST "https://api.emby.dev/v1/chat/completions" \
  -H "Authorization: Bearer $EMBY_API_KEY" \
  -H "Content-Type: application/json" \
  -d '{
    "model": "qwen2.5-vision",
    "messages": [
      {
        "role": "user",
        "content": "Generate an image of a golden retriever puppy playing in a sunny meadow"
      }
    ]
  }'

## Image Generation: Vision Support (Editing & Modifying Images)
# The page shows the message; around it stands what the other examples send.
curl -X POST "https://api.emby.dev/v1/chat/completions" \
  -H "Authorization: Bearer $EMBY_API_KEY" \
  -H "Content-Type: application/json" \
  -d '{
    "model": "qwen2.5-vision",
    "messages": [
      {
        "role": "user",
        "content": [
          {
            "type": "image_url",
            "image_url": { "url": "data:image/png;base64,<your_image>" }
          },
          {
            "type": "text",
            "text": "Remove the background and convert this to a 3D style."
          }
        ]
      }
    ]
  }'

## Vision Support: 1. Using HTTPS URLs
curl -X POST "https://api.emby.dev/v1/chat/completions" \
  -H "Authorization: Bearer $EMBY_API_KEY" \
  -H "Content-Type: application/json" \
  -d '{
    "model": "qwen2.5-vision",
    "messages": [
      {
        "role": "user",
        "content": [
          { "type": "text", "text": "What is shown in this image?" },
          {
            "type": "image_url",
            "image_url": {
              "url": "https://example.com/dog.jpg"
            }
          }
        ]
      }
    ]
  }'

## Vision Support: 2. Using Base64 Inline Data
curl -X POST "https://api.emby.dev/v1/chat/completions" \
  -H "Authorization: Bearer $EMBY_API_KEY" \
  -H "Content-Type: application/json" \
  -d '{
    "model": "qwen2.5-vision",
    "messages": [
      {
        "role": "user",
        "content": [
          { "type": "text", "text": "Describe this image" },
          {
            "type": "image_url",
            "image_url": {
              "url": "data:image/png;base64,<your_base64_here>"
            }
          }
        ]
      }
    ]
  }'

## Vision Support: Sending Multiple Images
curl -X POST "https://api.emby.dev/v1/chat/completions" \
  -H "Authorization: Bearer $EMBY_API_KEY" \
  -H "Content-Type: application/json" \
  -d '{
    "model": "glm-vision",
    "messages": [
      {
        "role": "user",
        "content": [
          { "type": "text", "text": "Compare these two photos." },
          {
            "type": "image_url",
            "image_url": { "url": "https://example.com/img1.jpg" }
          },
          {
            "type": "image_url",
            "image_url": { "url": "https://example.com/img2.jpg" }
          }
        ]
      }
    ]
  }'

## Vision Support: Simple Text-Only Messages Still Work
curl -X POST "https://api.emby.dev/v1/chat/completions" \
  -H "Authorization: Bearer $EMBY_API_KEY" \
  -H "Content-Type: application/json" \
  -d '{
    "model": "qwen2.5-vision",
    "messages": [
      { "role": "user", "content": "Hello! What models do you support?" }
    ]
  }'
