package scan

import (
	"context"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
)

// flatLeaf is the leaf of a wanted column that is nothing but one leaf of a physical type, else -1.
func (f *dataFile) flatLeaf(w want, physical parquet.Type) int {
	leaves := f.columns[w.column].leaves
	if len(leaves) != 1 || len(w.member) > 0 {
		return -1
	}
	col := f.meta.Schema.Column(leaves[0].index)
	if col.PhysicalType() != physical || col.MaxRepetitionLevel() > 0 || col.MaxDefinitionLevel() > 1 {
		return -1
	}
	return leaves[0].index
}

// readApart reads the wanted columns of the row group that the Arrow reader cannot give: 96-bit timestamps, which it knows only within the range of
// nanoseconds that Spark's writers do not keep to. The others are returned.
func (g *groupReader) readApart(ctx context.Context) (rest []int, err error) {
	for i, w := range g.wants {
		var a arrow.Array
		if leaf := g.file.flatLeaf(w, parquet.Types.Int96); leaf >= 0 {
			t, ok := g.out.Field(i).Type.(*arrow.TimestampType)
			if !ok {
				return nil, damaged("read", g.file.Key, g.group, fmt.Errorf("column %s holds timestamps, the table says %s", w.name, g.out.Field(i).Type))
			}
			a, err = g.stampColumn(ctx, leaf, t)
		} else {
			rest = append(rest, i)
			continue
		}
		if err != nil {
			return nil, err
		}
		if g.apart == nil {
			g.apart = map[int]arrow.Array{}
		}
		g.apart[i] = a
	}
	return rest, nil
}

func (g *groupReader) stampColumn(ctx context.Context, leaf int, t *arrow.TimestampType) (arrow.Array, error) {
	r, err := g.file.reader(ctx, g.scan, g.file.meta)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if err := r.expect(g.file.meta, g.group, leaf); err != nil {
		return nil, r.failure(g.file, g.group, err)
	}
	chunk, err := r.RowGroup(g.group).Column(leaf)
	if err != nil {
		return nil, r.failure(g.file, g.group, err)
	}
	col, ok := chunk.(*file.Int96ColumnChunkReader)
	if !ok {
		return nil, damaged("read", g.file.Key, g.group, fmt.Errorf("column %d is no column of 96-bit timestamps", leaf))
	}
	b := array.NewTimestampBuilder(g.scan.mem, t)
	defer b.Release()
	const step = 4096
	values, levels := make([]parquet.Int96, step), make([]int16, step)
	nullable := g.file.meta.Schema.Column(leaf).MaxDefinitionLevel() > 0
	for left := g.left; left > 0; {
		n, read, err := col.ReadBatch(min(step, left), values, levels, nil)
		if err != nil || n == 0 {
			return nil, damaged("read", g.file.Key, g.group, fmt.Errorf("%d timestamps are missing (%w)", left, err))
		}
		at := 0
		for i := range int(n) {
			if nullable && levels[i] == 0 {
				b.AppendNull()
				continue
			}
			if at == read {
				return nil, damaged("read", g.file.Key, g.group, fmt.Errorf("fewer timestamps than levels"))
			}
			b.Append(arrow.Timestamp(micros96(values[at])))
			at++
		}
		left -= n
	}
	return b.NewArray(), nil
}

// micros96 counts from the Julian day and the nanoseconds of the day.
func micros96(v parquet.Int96) int64 {
	const julianEpoch, dayMicros = 2440588, 86_400_000_000
	day := int64(int32(uint32(v[8]) | uint32(v[9])<<8 | uint32(v[10])<<16 | uint32(v[11])<<24))
	var nanos uint64
	for i := range 8 {
		nanos |= uint64(v[i]) << (8 * i)
	}
	n := int64(nanos)
	us := n / 1000
	if n%1000 < 0 {
		us--
	}
	return (day-julianEpoch)*dayMicros + us
}
