metaxy-delta push --store prod --definitions before.toml
metaxy-delta push --store dev --definitions before.toml
metaxy-delta write video/raw videos.csv --store prod
metaxy-delta resolve video/transcript --store prod --definitions before.toml --out todo --format jsonl
metaxy-delta write video/transcript todo/new.jsonl --store prod --definitions before.toml
metaxy-delta push --store prod
metaxy-delta copy --all-features --from prod --to dev
metaxy-delta push --store dev
rm -r todo
metaxy-delta table write ./changes numbers.csv --property delta.enableChangeDataFeed=true
metaxy-delta table write ./counted counted.csv
