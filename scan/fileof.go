package scan

import "context"

// FileOf returns the key of the data file that a unit is part of.
func (s *Scan) FileOf(ctx context.Context, unit int) (string, error) {
	units, err := s.load(ctx)
	if err != nil {
		return "", err
	}
	return units[unit].file.Key, nil
}
