"""What several teachers share of BERT-type models: tokenizers, folders, weights. No plugin itself."""
