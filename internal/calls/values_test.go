package calls_test

import (
	"context"
	"log/slog"

	"github.com/metaxy-delta/metaxy-delta/config"
	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/event"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/service"
	"github.com/metaxy-delta/metaxy-delta/scan"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// valueRows take values and give values: no context, no stream, nothing that is held.
var valueRows = []row{
	{fn: (*feature.Definition).Columns},
	{fn: (*feature.Definition).DisplaySource},
	{fn: (*feature.Definition).Stored},
	{fn: (*feature.Dep).Renamed},
	{fn: (*feature.Graph).AddMissing},
	{fn: (*feature.Graph).Add},
	{fn: (*feature.Graph).Around},
	{fn: (*feature.Graph).CheckKnown},
	{fn: (*feature.Graph).Check},
	{fn: (*feature.Graph).Clone},
	{fn: (*feature.Graph).CodeVersion},
	{fn: (*feature.Graph).DefinitionVersion},
	{fn: (*feature.Graph).Definitions},
	{fn: (*feature.Graph).Downstream},
	{fn: (*feature.Graph).FeatureVersion},
	{fn: (*feature.Graph).FieldVersion},
	{fn: (*feature.Graph).Get},
	{fn: (*feature.Graph).Nearest},
	{fn: (*feature.Graph).Plan},
	{fn: (*feature.Graph).ProjectVersion},
	{fn: (*feature.Graph).Projects},
	{fn: (*feature.Graph).SpecVersion},
	{fn: (*feature.Graph).Topological},
	{fn: (*feature.Graph).Truncation},
	{fn: (*feature.GraphError).Error},
	{fn: (*feature.JSONError).Error},
	{fn: (*feature.Plan).Check},
	{fn: (*feature.Plan).Collisions},
	{fn: (*feature.Plan).InputIDColumns},
	{fn: (*feature.Plan).InputIDs},
	{fn: (*feature.Plan).JoinColumns},
	{fn: (*feature.Spec).Value},
	{fn: (*feature.SpecError).Error},
	{fn: (*feature.SpecError).Is},
	{fn: feature.Change.String},
	{fn: feature.DecodeFieldKey},
	{fn: feature.DecodeKey},
	{fn: feature.DecodeSpec},
	{fn: feature.FieldKey.Compare},
	{fn: feature.FieldKey.Parts},
	{fn: feature.FieldKey.String},
	{fn: feature.FieldKey.StructKey},
	{fn: feature.Key.ColumnSuffix},
	{fn: feature.Key.Compare},
	{fn: feature.Key.Parts},
	{fn: feature.Key.String},
	{fn: feature.Key.StructKey},
	{fn: feature.Key.TableName},
	{fn: feature.ListValue},
	{fn: feature.Load},
	{fn: feature.NewGraph},
	{fn: feature.ObjectValue},
	{fn: feature.Parent.FQ},
	{fn: feature.ParseFieldKey},
	{fn: feature.ParseJSON},
	{fn: feature.ParseKey},
	{fn: feature.StringValue},
	{fn: feature.Value.Elements},
	{fn: feature.Value.Get},
	{fn: feature.Value.IsNull},
	{fn: feature.Value.IsObject},
	{fn: feature.Value.Members},
	{fn: feature.Value.SortedText},
	{fn: feature.Value.Str},
	{fn: feature.Value.Text},
	{fn: (*filter.ParseError).Error},
	{fn: (*filter.ParseError).Is},
	{fn: filter.And.String},
	{fn: filter.Column.String},
	{fn: filter.Columns},
	{fn: filter.Compare.String},
	{fn: filter.CompareValues},
	{fn: filter.Date.ISO},
	{fn: filter.In.String},
	{fn: filter.IsNull.String},
	{fn: filter.Like.String},
	{fn: filter.Literal.String},
	{fn: filter.Not.String},
	{fn: filter.Op.String},
	{fn: filter.Or.String},
	{fn: filter.ParseConstraint},
	{fn: filter.ParseDate},
	{fn: filter.ParseSQL},
	{fn: filter.ParseTime},
	{fn: filter.Parse},
	{fn: filter.Timestamp.ISO},
	{fn: filter.TimestampNTZ.ISO},
	{fn: (*frame.Block).Row},
	{fn: frame.Ref.Row},
	{fn: frame.Ref.Unit},
	{fn: frame.RefOf},
	{fn: frame.Unit.Span},
	{fn: (*config.Config).JSON},
	{fn: (*config.Config).LockPathGiven},
	{fn: (*config.Config).Origins},
	{fn: (*config.Config).StoreNamed},
	{fn: (*config.Config).TOML},
	{fn: (*config.Error).Error},
	{fn: (*config.LockReport).Changed},
	{fn: config.CompareLocks},
	{fn: config.Definitions},
	{fn: config.Lock},
	{fn: config.Origin.From},
	{fn: (*delta.PanicError).Error},
	{fn: (*delta.PanicError).Unwrap},
	{fn: (*delta.Schema).Arrow},
	{fn: (*delta.Schema).Find},
	{fn: (*delta.Schema).JSON},
	{fn: (*delta.SchemaError).Error},
	{fn: (*delta.Type).Arrow},
	{fn: (*delta.UnsupportedError).Error},
	{fn: delta.Describable},
	{fn: delta.FeedEnabled},
	{fn: delta.ParseSchema},
	{fn: delta.ReaderFeatures},
	{fn: delta.SchemaOf},
	{fn: delta.WriterFeatures},
	{fn: (*scan.FileError).Error},
	{fn: (*scan.FileError).Unwrap},
	{fn: (*scan.Plan).String},
	{fn: scan.VectorPath},
	{fn: (*txlog.CommitError).Error},
	{fn: (*txlog.CommitError).Is},
	{fn: (*txlog.CommitError).Unwrap},
	{fn: (*txlog.CommitInfo).MarshalJSON},
	{fn: (*txlog.ConflictError).Error},
	{fn: (*txlog.ConflictError).Unwrap},
	{fn: (*txlog.CorruptError).Error},
	{fn: (*txlog.CorruptError).Unwrap},
	{fn: (*txlog.DeletionVector).UniqueID},
	{fn: txlog.DecodePath},
	{fn: txlog.EncodePath},
	{fn: (*objstore.AccessError).Error},
	{fn: (*objstore.AccessError).NonRetriable},
	{fn: (*objstore.AccessError).RetryableError},
	{fn: (*objstore.AccessError).Unwrap},
	{fn: (*objstore.Error).Error},
	{fn: (*objstore.Error).Unwrap},
	{fn: objstore.AccessFault.Error},
	{fn: service.BeginsAt},
	{fn: service.ExistsError},
	{fn: service.NotOf},
	{fn: service.FilePath},
	{fn: service.ParseLocation},
	{fn: service.RedactText},
	{fn: service.Redact},
	{fn: service.Scheme},
	{fn: service.Settings.Bool},
	{fn: service.Settings.Check},
	{fn: service.Settings.Get},
	{fn: service.Settings.Only},
	{fn: service.Settings.Parallel},
	{fn: service.StatusError},
	{fn: service.Temporary},
	{fn: objstore.Unanswered},
	{fn: objstore.ValidKey},
	{fn: (*event.Event).Log, make: func(w *world) call {
		log := slog.New(logs{slog.DiscardHandler, w})
		return func(context.Context) error { (&event.Event{Kind: event.Retry}).Log(log); return nil }
	}},
	{fn: feature.Diff, make: func(w *world) call {
		old, changed := graph(), graph()
		return func(context.Context) error {
			return told(feature.Diff(old, changed, func(*feature.Definition) bool { w.inside(); return true }))
		}
	}},
	{fn: filter.AlwaysMatches, make: func(w *world) call {
		return func(context.Context) error {
			filter.AlwaysMatches(sample(filter.Parse("a = 1")), bounds{w})
			return nil
		}
	}},
	{fn: filter.MayMatch, make: func(w *world) call {
		return func(context.Context) error { filter.MayMatch(sample(filter.Parse("a = 1")), bounds{w}); return nil }
	}},
}

// logs are a handler of the caller.
type logs struct {
	slog.Handler
	w *world
}

func (l logs) Enabled(context.Context, slog.Level) bool  { return true }
func (l logs) Handle(context.Context, slog.Record) error { l.w.inside(); return nil }

// bounds are statistics of the caller.
type bounds struct{ w *world }

func (b bounds) Column([]string) filter.Range {
	b.w.inside()
	return filter.Range{Known: true, Min: int64(1), Max: int64(2), Nulls: -1, Rows: -1}
}
