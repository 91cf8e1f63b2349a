package resolve

import "context"

// planSamples completes the samples' versions and fixes the schemas: columns as
// given, what is missing at the end.
func (inc *Increment) planSamples(ctx context.Context) error {
	rows, err := complete(ctx, inc.req.Samples, inc.req.Plan, inc.req.Algorithm, inc.req.MapMode, true)
	if err != nil {
		return err
	}
	for _, c := range inc.joinColumns() {
		if !rows.Schema.HasField(c) {
			return &InputError{Feature: inc.key().String(), Column: c, Msg: "the samples lack the id column"}
		}
	}
	if err := checkFilters(inc.req.Current.Filters, rows.Schema); err != nil {
		return err
	}
	inc.req.Samples = rows
	for _, f := range rows.Schema.Fields() {
		inc.columns = append(inc.columns, outColumn{f.Name, -1, f.Name, f.Type})
	}
	inc.setSchemas()
	return nil
}
