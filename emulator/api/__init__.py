"""What all emulated Google APIs share: names, masks, pages, filters, errors, faults."""
