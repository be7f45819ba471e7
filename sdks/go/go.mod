module github.com/boxlite-ai/boxlite/sdks/go

go 1.24
